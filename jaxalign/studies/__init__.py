"""The paper's claims, each a study on real data: cells of a design, a verdict, one figure."""
