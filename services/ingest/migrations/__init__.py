"""Revisions of schema `ingest`."""
