"""multilingual-e5-small on onnxruntime: 4-bit weights, tokenizer and encoder, without torch."""
