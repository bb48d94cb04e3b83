"""What clients speak: one pure module per dialect, from bytes to events or per-event rejections."""
