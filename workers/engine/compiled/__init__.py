"""Loops of a CPU in machine code: products, and the passes of one network after another."""
