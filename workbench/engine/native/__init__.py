"""llama.cpp's own objects - weights, context, batch, vocabulary - each with one owner. Knows no request."""
