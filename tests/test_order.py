"""The order in which a training sees its rows."""

import threading

import numpy as np

from digit_recognizer.experiment import Augmentation
from digit_recognizer.training.loader import Batches
from digit_recognizer.training.sampler import Order

ROWS, SIZE, STEPS = 50, 16, 4


def epoch_of(order, epoch):
    return np.concatenate([order.batch(epoch, batch, SIZE) for batch in range(STEPS)])


def ranked(epochs=6, hard_examples=0.6, key=(0, 1)):
    """An order whose rows 0 to 4 are the hardest after epoch 0, and 5 to 9 after epoch 2."""
    order = Order(ROWS, key, epochs, hard_examples)
    order.rank(0, -np.arange(ROWS, dtype=float))
    order.rank(2, -np.abs(np.arange(ROWS) - 7.0))
    return order


def test_an_epoch_shows_each_row_once_and_goes_round_again_when_it_is_longer():
    order = Order(ROWS, (0, 1), 2)
    passes = [
        np.concatenate([order.batch(epoch, batch + turn, SIZE) for batch in range(STEPS)])
        for epoch in (0, 1)
        for turn in (0, STEPS)
    ]
    for rows in passes:
        assert sorted(rows) == list(range(ROWS))
    assert not any(np.array_equal(passes[0], other) for other in passes[1:])


def test_hard_rows_make_up_their_share_and_the_others_come_once_at_most():
    order = ranked()
    for epoch, hard in ((2, range(5)), (3, range(5)), (4, range(5, 10)), (5, range(5, 10))):
        counts = np.bincount(epoch_of(order, epoch), minlength=ROWS)
        assert list(counts[list(hard)]) == [6] * 5
        assert counts.sum() == ROWS
        assert np.delete(counts, list(hard)).max() == 1


def test_before_the_first_ranking_counts_all_rows_are_alike():
    order = ranked()
    for epoch in (0, 1):
        assert sorted(epoch_of(order, epoch)) == list(range(ROWS))


def test_the_order_depends_on_seed_fold_epoch_and_ranking_alone():
    expected = [epoch_of(ranked(), epoch) for epoch in range(2, 6)]
    again = ranked()
    for epoch in reversed(range(2, 6)):
        assert np.array_equal(epoch_of(again, epoch), expected[epoch - 2])
    assert not np.array_equal(expected[0], expected[1])
    assert not np.array_equal(expected[0], epoch_of(ranked(key=(1, 1)), 2))


def test_rankings_are_due_after_every_second_epoch_that_two_follow():
    assert [epoch for epoch in range(6) if Order(ROWS, (0, 1), 6, 0.6).ranked_after(epoch)] == [0, 2]
    assert [epoch for epoch in range(7) if Order(ROWS, (0, 1), 7, 0.6).ranked_after(epoch)] == [0, 2, 4]
    assert not any(Order(ROWS, (0, 1), 7).ranked_after(epoch) for epoch in range(7))


def test_batches_wait_for_the_ranking_that_they_depend_on():
    images = np.arange(ROWS, dtype=np.uint8).reshape(ROWS, 1, 1, 1)
    order = Order(ROWS, (0, 1), 3, 0.6)
    batches = Batches(images, np.zeros((ROWS, 10)), SIZE, STEPS, Augmentation(), order)
    with batches.stream(0, workers=2) as stream:
        seen = [next(stream)[0].ravel() for _ in range(2 * STEPS)]
        assert sorted(np.concatenate(seen[:STEPS])) == list(range(ROWS))
        threading.Timer(0.2, order.rank, (0, -np.arange(ROWS, dtype=float))).start()
        third = np.concatenate([next(stream)[0].ravel() for _ in range(STEPS)])
    assert np.array_equal(third, epoch_of(order, 2))
    assert np.isin(third, range(5)).sum() == 30


def test_a_closed_stream_ends_even_where_a_ranking_is_missing():
    batches = Batches(
        np.zeros((ROWS, 1, 1, 1), np.uint8), np.zeros((ROWS, 10)), SIZE, STEPS, Augmentation(), Order(ROWS, (0, 1), 3, 0.6)
    )
    with batches.stream(0, workers=1) as stream:
        for _ in range(2 * STEPS):
            next(stream)
        rest: list = []
        reader = threading.Thread(target=lambda: rest.extend(stream), daemon=True)
        reader.start()
    reader.join(5)
    assert not reader.is_alive()
    assert not rest
