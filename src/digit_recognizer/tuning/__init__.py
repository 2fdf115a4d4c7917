"""Studies: the only package that imports Optuna. `study.tune` runs one.

space.py: the search space. journal.py, database.py: storage. trials.py: which trials count and are resumed.
trial_loop.py: the threads that run trials. trainer.py: one trial's folds. pruner.py: which trials are pruned.
confirmation.py: the best trials, trained again. summary.py, page.py, charts.py, tuned_pipeline.py: the results.
overview.py: all studies in one list. dashboard.py: optuna-dashboard. events.py: what a running study reports.
"""
