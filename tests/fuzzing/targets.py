"""All targets of fuzzing."""

from tests.fuzzing import checkpoint_targets, corpus_targets, settings_targets, task_targets

TARGETS = [
    *corpus_targets.TARGETS,
    *checkpoint_targets.TARGETS,
    *task_targets.TARGETS,
    *settings_targets.TARGETS,
]
