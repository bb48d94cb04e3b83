"""The three services, the operator command and the process plumbing that they share."""
