"""Benchmarks: speed, memory and accuracy on this machine."""
