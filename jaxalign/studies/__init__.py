"""The paper's claims, each a study on real data: cells of a design, a verdict with effect and
interval, one figure.
"""
