"""From a bundle's model.onnx to verified engines. Needs the extra `export`; the running program never imports it."""
