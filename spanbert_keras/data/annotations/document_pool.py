"""Documents annotated by several processes, results in order."""

import collections
import concurrent.futures
import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from spanbert_keras.data.annotations.document_annotator import DocumentAnnotator, PreparedDocument
from spanbert_keras.errors import InputError

Place = tuple[int, int]  # a shard's number, and a document's in it
Result = tuple[Place, dict[str, np.ndarray], int]
TASK_PIECES = 20_000
PER_WORKER = 3  # tasks in memory for each process

_annotator: DocumentAnnotator  # of a process of the pool


def annotated(
    documents: Iterable[tuple[Place, PreparedDocument]],
    annotator: DocumentAnnotator,
    opening: tuple[Any, ...],
    workers: int,
) -> Iterator[Result]:
    """Yields the annotations of each document, in order: its place, its bytes by name, and its unknown lines.

    Every document is annotated by itself, so the result does not depend on the number of processes.

    Args:
        documents: iterator of (place, document).
        annotator: `DocumentAnnotator` of this process; used if `workers` is 1.
        opening: tuple. The arguments from which other processes make theirs.
        workers: int. Number of processes.

    Raises:
        InputError: an error of the annotator, or a process was killed.
    """
    tasks = _grouped(documents)
    if workers <= 1:
        for task in tasks:
            yield from _annotate_all(annotator, task)
        return
    # A server that has imported the package once; its children share that memory. Windows has no such server.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    waiting: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _open, opening)
    try:
        for task in tasks:
            waiting.append(pool.submit(_annotate_task, task))
            while len(waiting) > PER_WORKER * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise InputError(
            f"A process of --workers={workers} ended unexpectedly, often for lack of memory. Rerun the same command "
            "with a lower --workers; it resumes."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _grouped(
    documents: Iterable[tuple[Place, PreparedDocument]],
) -> Iterator[list[tuple[Place, PreparedDocument]]]:
    """Yields the documents in lists of about `TASK_PIECES`."""
    task, pieces = [], 0
    for place, document in documents:
        task.append((place, document))
        pieces += len(document.pieces)
        if pieces >= TASK_PIECES:
            yield task
            task, pieces = [], 0
    if task:
        yield task


def _open(*opening: Any) -> None:
    """Makes the annotator of a process."""
    global _annotator
    _annotator = DocumentAnnotator(*opening)


def _annotate_task(task: list[tuple[Place, PreparedDocument]]) -> list[Result]:
    return _annotate_all(_annotator, task)


def _annotate_all(annotator: DocumentAnnotator, task: list[tuple[Place, PreparedDocument]]) -> list[Result]:
    """Returns the results of all documents of a task."""
    results = []
    for place, document in task:
        values, unknown = annotator.annotate(document)
        results.append((place, values, unknown))
    return results
