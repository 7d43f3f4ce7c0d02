"""The verbs of the public surface, one file for each kind of work.

``zoo/__init__.pyi`` lists which of them ``import zoo`` offers. :mod:`zoo.api.catalogue` never
imports torch, and :mod:`zoo.api.load` needs far less to be imported than the others.
"""
