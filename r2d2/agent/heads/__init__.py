"""Heads: Q values of core outputs.

A head is an `nn.Module`, made by `head(inputs, actions, config)` from the width of the core's outputs, the number
of actions and the `NetworkConfig`; it may take `rescaling` too, whether values are in units of h. It maps outputs
[..., W] to Q values [..., A]. Its last layer is an `Output`, which stays float32 under autocast. A head of one's
own is one file here and one line in `r2d2/config/parts.py`.
"""
