"""The contracts: what is on the wire between services and to the outside. No I/O; imports no service."""
