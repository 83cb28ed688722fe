"""Who speaks when, from overlapping windows of a segmentation model and voice prints.

Pure arithmetic on arrays; models are run by `onnx_models`.
"""
