"""The same BERT weights in the file formats of three libraries, so that models and backends can be compared fairly.

Reads safetensors and ONNX, writes a sentence-transformers folder, ONNX and GGUF; nothing needs torch. Knows BERT
encoders with WordPiece vocabularies, and no other model.
"""
