"""No order of messages that the grammar of the service allows loses or repeats a word, or exits with a wrong code."""

import itertools
import os
import random
import re
import time
from collections import Counter

import pytest

from gemini_live.conversation.outcomes import Answered, LateWords, Restarted, Unfinished

from .grammar import GRAMMARS, Grammar, Play, Turn, User

N_SEEDS = int(os.environ.get("GRAMMAR_SEEDS", "60"))
"""How many sessions are played for each model, user and number of drops."""


def check(play: Play) -> None:
    """Compare what the client wrote with what was said."""
    client = play.client
    written = [item for item in client.written if isinstance(item, Answered | LateWords | Restarted | Unfinished)]
    counts = Counter(word for item in written for word in re.findall(r"m\d+\.\d+", item.text))
    said = [word.strip() for ask in play.asks for word in ask.said]
    assert counts == Counter(said)  # none lost, none twice
    user_words = Counter(word.strip() for _, text in client.user_words for word in text.split())
    assert user_words == Counter(play.heard)
    late = {word for ask in play.asks for word in ask.late}
    if play.user is User.PIPE:
        check_pipe(play, late)
    elif all(ask.is_answered or ask.is_cut_off for ask in play.asks):
        # Late words may pass for an answer, and a lost connection loses speech: then either code is right.
        assert client.exit_code == 0 or play.n_dropped or late or play.has_two_readings


def check_pipe(play: Play, late: set[str]) -> None:
    """Check that each line has its own answer, in order, and that the exit code tells of the others."""
    client = play.client
    answers = [item for item in client.written if isinstance(item, Answered) and item.asked]
    assert [client.typed[item.exchange] for item in answers] == [ask.name for ask in play.asks]
    n_unanswered = sum(not ask.is_answered for ask in play.asks)
    if late:  # words that came when the next line was sent pass for its answer, or for the beginning of it
        assert n_unanswered - len(late) <= client.conversation.n_unanswered <= n_unanswered
        return
    for ask, answer in zip(play.asks, answers, strict=True):
        assert answer.text.split() == [word.strip() for word in ask.final], ask
        assert not answer.cut_off
    assert client.conversation.n_unanswered == n_unanswered


@pytest.mark.parametrize("n_drops", [0, 2])
@pytest.mark.parametrize("user", User)
@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: str(grammar.model))
def test_no_order_that_the_grammar_allows_loses_or_repeats_a_word(grammar: Grammar, user: User, n_drops: int) -> None:
    for seed in range(N_SEEDS):
        play_and_check(grammar, user, seed, n_drops)


def play_and_check(grammar: Grammar, user: User, seed: int, n_drops: int) -> None:
    """Play a session; a failure tells all of it."""
    play = Play(grammar, user, seed, n_drops=n_drops)
    try:
        play.run()
        check(play)
    except AssertionError as error:
        story = f"{grammar.model}, {user}, {n_drops} drops, seed {seed}", *play.log, str(play.client.answers)
        raise AssertionError("\n".join(story)) from error


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_half_an_hour_of_orders_loses_and_repeats_nothing() -> None:
    end_s = time.monotonic() + float(os.environ.get("GRAMMAR_MINUTES", "30")) * 60
    for seed in itertools.count(random.randrange(10**9)):
        for grammar, user, n_drops in itertools.product(GRAMMARS, User, (0, 2)):
            play_and_check(grammar, user, seed, n_drops)
        if time.monotonic() > end_s:
            return


def test_every_kind_of_turn_is_played() -> None:
    assert {turn for grammar in GRAMMARS for turn in grammar.turns} == set(Turn)
