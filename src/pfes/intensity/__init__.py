"""Continuous expression intensity from onset, apex and offset: the weakly supervised system of [W25].

[W25] Almushrafy, "Weakly Supervised Continuous Micro-Expression Intensity Estimation Using Temporal Deep Neural
Network", arXiv 2512.01145. Stages in the order of the data flow, one module each:

clips         aligned face crops around every labelled expression, resampled to a fixed number of steps
pseudo        the curve that three labels stand for: triangle, and others to compare with
model         ResNet-18 per frame, bidirectional GRU over frames
losses        mean square, smoothness, apex ranking
training      one model per system, fold and seed
metrics       Spearman, Kendall and mean absolute error per clip
prediction    curves of the held-out subjects' clips and of whole recordings
comparison    the table: systems and references against the triangle and against known intensity
figures       curves of clips and recordings
"""
