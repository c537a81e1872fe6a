"""How long the conversation waits for what, as one table of constants that a test can replace."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timings:
    """How long to wait for what, in seconds."""

    missing_turn_complete_s: float = 5.0
    """Quiet after `generationComplete`, and after the speech would have ended, that completes an answer by itself."""
    last_answer_s: float = 1.0
    """Quiet after `generationComplete` that completes the last answer of a session that plays nothing."""
    trailing_words_s: float = 1.0
    """Words may come after `turnComplete`: the quiet that is waited for before an answer is taken as whole."""
    trailing_words_in_queue_s: float = 0.5
    """The same where another question waits for its turn."""
    after_interruption_s: float = 5.0
    """For the turn that follows one which was interrupted by nobody."""
    after_call_s: float = 15.0
    """For the turn that follows the result of a function."""
    silence_s: float = 60.0
    """Without any message while a typed turn is open: the connection is taken for lost."""
    after_audio_end_s: float = 10.0
    """After the microphone or file has ended, with neither transcript nor output: nothing will come."""
    after_last_word_s: float = 2.0
    """The same where a person ended the input and nothing seems to have been said."""
    late_transcript_s: float = 2.0
    """User's words that come later than this after the model began to answer are new ones."""
