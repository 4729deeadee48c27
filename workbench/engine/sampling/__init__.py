"""Logits to tokens: llama.cpp's samplers, and constraints on what may be said. Knows no request queue."""
