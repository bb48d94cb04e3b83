"""The demo: simulated customers, local receivers and a proof, on the real stack."""
