"""`SessionEnded` is the last event, whichever thread writes it."""

import threading

from gemini_live.output.events import Error, Event, SessionEnded, Status
from gemini_live.output.until_ended import UntilEnded

WAIT_S = 10


class Written(list[Event]):
    """A writer that keeps the events."""

    def emit(self, event: Event) -> None:
        self.append(event)


def test_events_after_the_last_one_are_dropped() -> None:
    written = Written()
    output = UntilEnded(written)
    for event in (Status("one"), SessionEnded(0), Error("late"), SessionEnded(1)):
        output.emit(event)
    assert written == [Status("one"), SessionEnded(0)]


def test_an_event_that_is_printed_while_another_is_written_is_written() -> None:
    written = Written()

    class Printing:
        def emit(self, event: Event) -> None:
            written.append(event)
            if event == Status("one"):
                output.emit(Status("of a destructor"))

    output = UntilEnded(Printing())
    output.emit(Status("one"))
    assert written == [Status("one"), Status("of a destructor")]


def test_the_last_event_is_written_though_another_thread_hangs_in_an_event() -> None:
    written, hangs, free = Written(), threading.Event(), threading.Event()

    class Hanging:
        def emit(self, event: Event) -> None:
            if event == Status("hangs"):
                hangs.set()
                assert free.wait(WAIT_S)
            written.append(event)

    output = UntilEnded(Hanging())
    thread = threading.Thread(target=output.emit, args=[Status("hangs")])
    thread.start()
    assert hangs.wait(WAIT_S)
    output.emit(SessionEnded(124))
    assert written == [SessionEnded(124)]
    free.set()
    thread.join(WAIT_S)


def test_of_many_threads_that_end_the_session_one_does() -> None:
    written = Written()
    output, start = UntilEnded(written), threading.Barrier(8)

    def end(code: int) -> None:
        start.wait(WAIT_S)
        output.emit(SessionEnded(code))

    threads = [threading.Thread(target=end, args=[code]) for code in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(written) == 1
