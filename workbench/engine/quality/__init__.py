"""What a setting does to the answers: divergence between two of them, and the guard of the KV cache's type."""
