"""Rehearsals: mock competitions cut from train.csv, which measure what a submission scores before Kaggle does.

Out of fold an image is predicted by one model per seed, in a submission by the average of all, so the out-of-fold accuracy
compares recipes but is lower than the score. A rehearsal holds a sixth of the labelled images back as its test set, trains
on the other five sixths with the same functions as for a real submission, and scores it.
"""
