"""The only part that opens connections to subscribers: resolve, vet, connect, send, read a little, classify."""
