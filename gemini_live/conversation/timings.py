"""How long the conversation waits for what, as one table of constants that a test can replace."""

from ..frozen import Frozen


class Timings(Frozen, kw_only=True):
    """How long to wait for what, in seconds. What depends on the model is in `models.py`."""

    missing_turn_complete_s: float = 5.0
    """Quiet after `generationComplete`, and after the end of playback, that completes an answer."""
    after_interruption_s: float = 5.0
    """For the end of an interrupted turn, and for a turn that continues it."""
    after_call_s: float = 15.0
    """For the turn that follows the result of a function."""
    empty_turn_s: float = 8.0
    """For another turn, after one without output."""
    no_answer_s: float = 15.0
    """Without any message after a question was sent, before it is sent again."""
    long_thought_s: float = 30.0
    """In place of the shorter times above, for models that think long."""
    known_question_s: float = 2.0
    """For a resumed session to answer the question that it knows, before it is asked again."""
    stale_calls_s: float = 3.0
    """For the empty turn after the calls that were open at a drop were answered with errors."""
    silence_s: float = 60.0
    """Without any message while an answer is due: the connection is lost."""
    after_audio_end_s: float = 10.0
    """For an answer after the microphone or the last file has ended."""
    after_last_word_s: float = 2.0
    """The same after a person closed the microphone and seems to have said nothing."""
    late_transcript_s: float = 2.0
    """After the answer to them has begun, the user's words may arrive for so long."""
