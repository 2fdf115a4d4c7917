"""Studies: the only room that knows Optuna. `study.tune` runs one; everything else here serves it.

space.py: what may vary. storage.py: where a study is kept. trials.py: which trials count. session.py: the workers.
trainer.py: one trial's folds. pruning.py: which trials are stopped. confirmation.py: the best few, trained again.
summary.py, page.py, tuned_pipeline.py: what is left in the morning.
"""
