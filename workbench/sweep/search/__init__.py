"""Adaptive search (``mode: search``): Optuna says what is worth trying, the ledger what came of it.

Trials find candidates and prove nothing: the best of many noisy estimates is too good. Each trial runs beside the
baseline; the best then go through ordinary randomised blocks, and verdicts rest on those blocks alone. The study is
rebuilt from finished runs before every question, so that nothing but the ledger has to survive. Knows no plots.

``space`` says what may be tried → ``study`` asks Optuna → ``journal`` notes it before it runs → ``trials`` reads what
came of it → ``front`` picks who goes on → ``finals`` makes an ordinary sweep of those.
"""
