"""From a bundle's FP32 model to engines that passed a parity report: the command edgeemo-export.

Converting needs the extra `export`; comparing and building plans do not. Of the running program only the device report
comes here.
"""
