"""The command edgeemo-export: convert a bundle's FP32 model to engines that passed a parity report.

Converting needs the extra `export`; comparing and building plans do not. In `edgeemo`, only the device report imports
this package.
"""
