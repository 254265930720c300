"""The reference central: subscribe, keep one copy of each check-in, find gaps, send receipts.

It is small on purpose. `docs/asyncapi.yaml` is the contract for whoever writes a larger one.
"""
