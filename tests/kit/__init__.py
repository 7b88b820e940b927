"""What tests of several rooms share: one patient, one site, one story builder, databases, a gateway, a worker.

A test module imports from here, never from another test module. Fixtures of the modules that the root `conftest.py`
lists are known everywhere.
"""
