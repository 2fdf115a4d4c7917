"""The sampler."""

import numpy as np

from digit_recognizer.training.sampler import Sampler

ROWS, SIZE, STEPS = 50, 16, 4


def epoch_of(sampler, epoch):
    return np.concatenate([sampler.batch(epoch, batch, SIZE) for batch in range(STEPS)])


def ranked(epochs=8, hard_examples=0.6, key=(0, 1)):
    """A sampler whose rows 0 to 4 are the hardest after epoch 0, and 5 to 9 after epoch 3."""
    sampler = Sampler(ROWS, key, epochs, hard_examples)
    sampler.rank(0, -np.arange(ROWS, dtype=float))
    sampler.rank(3, -np.abs(np.arange(ROWS) - 7.0))
    return sampler


def test_each_pass_has_each_row_once_in_a_new_order():
    sampler = Sampler(ROWS, (0, 1), 2)
    passes = [
        np.concatenate([sampler.batch(epoch, batch + turn, SIZE) for batch in range(STEPS)])
        for epoch in (0, 1)
        for turn in (0, STEPS)
    ]
    for rows in passes:
        assert sorted(rows) == list(range(ROWS))
    assert not any(np.array_equal(passes[0], other) for other in passes[1:])


def test_hard_rows_have_their_fraction_and_others_are_drawn_at_most_once():
    sampler = ranked()
    for epoch, hard in ((4, range(5)), (5, range(5, 10)), (6, range(5, 10)), (7, range(5, 10))):
        counts = np.bincount(epoch_of(sampler, epoch), minlength=ROWS)
        assert list(counts[list(hard)]) == [6] * 5
        assert counts.sum() == ROWS
        assert np.delete(counts, list(hard)).max() == 1


def test_sampling_is_uniform_before_the_first_ranking():
    sampler = ranked()
    for epoch in (0, 1):
        assert sorted(epoch_of(sampler, epoch)) == list(range(ROWS))


def test_batches_are_a_function_of_seed_fold_epoch_and_ranking():
    expected = [epoch_of(ranked(), epoch) for epoch in range(4, 8)]
    again = ranked()
    for epoch in reversed(range(4, 8)):
        assert np.array_equal(epoch_of(again, epoch), expected[epoch - 4])
    assert not np.array_equal(expected[0], expected[1])
    for seed_and_fold in ((1, 1), (0, 2)):
        assert not np.array_equal(expected[0], epoch_of(ranked(key=seed_and_fold), 4))


def test_batches_are_ready_once_their_ranking_is_there():
    sampler = Sampler(ROWS, (0, 1), 8, 0.6)
    assert [epoch for epoch in range(8) if sampler.is_ready(epoch)] == [0, 1]
    sampler.rank(0, np.zeros(ROWS))
    assert [epoch for epoch in range(8) if sampler.is_ready(epoch)] == [0, 1, 2, 3, 4]
    assert all(Sampler(ROWS, (0, 1), 6).is_ready(epoch) for epoch in range(6))


def test_batches_that_are_prefetched_beyond_the_last_epoch_use_its_ranking():
    sampler = ranked()
    for epoch in (8, 9):
        assert sampler.is_ready(epoch)
        assert list(np.bincount(epoch_of(sampler, epoch), minlength=ROWS)[5:10]) == [6] * 5


def test_ranking_is_due_after_every_third_epoch_that_two_follow():
    assert [epoch for epoch in range(5) if Sampler(ROWS, (0, 1), 5, 0.6).ranks_after(epoch)] == [0]
    assert [epoch for epoch in range(8) if Sampler(ROWS, (0, 1), 8, 0.6).ranks_after(epoch)] == [0, 3]
    assert [epoch for epoch in range(9) if Sampler(ROWS, (0, 1), 9, 0.6).ranks_after(epoch)] == [0, 3, 6]
    assert not any(Sampler(ROWS, (0, 1), 7).ranks_after(epoch) for epoch in range(7))
