"""What product teams ask of all accounts of a plan together, each answer one module."""
