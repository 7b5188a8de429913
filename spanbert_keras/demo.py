"""Shows saved models on a page in the browser, with a tab for each.

python -m spanbert_keras.demo --model=question_answerer.keras --model=coreference_resolver.keras

The page is served on this machine until Ctrl-C. It fetches nothing from other machines.
"""

import contextlib
import dataclasses
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the page."""

    model: tuple[str, ...] = setting(
        "A saved model: a .keras file, the folder of a fine-tuning run, or a Hugging Face folder. Once for each tab.",
        default=(),
        path=True,
        repeated=True,
    )
    host: str = setting(
        "Address to serve on. With 0.0.0.0 everyone who can reach this machine can use the page.", default="127.0.0.1"
    )
    port: int = setting("Port to serve on. 0 takes a free one.", default=7860, minimum=0, maximum=65535)

    def check(self) -> None:
        if not self.model:
            raise InputError(
                "--model is missing. Expected: a saved model, e.g. runs/tiny/pretrainer.keras, which "
                "`python -m spanbert_keras.pretrain --flagfile=configs/tiny.flags` makes."
            )


def main(config: Config) -> None:
    """Loads the models and serves the page."""
    from spanbert_keras.demo_page.kinds import KINDS, tabs_of
    from spanbert_keras.demo_page.page import import_gradio, make_blocks
    from spanbert_keras.demo_page.server import address_of, listen, serve
    from spanbert_keras.model_flag import load_model_of

    import_gradio()  # mistakes that cost no time come first
    for path in config.model:
        if "," in path and not Path(path).exists():
            raise InputError(f"--model={path} is not there. Give --model once for each model, not a list.")
    listening = listen(config.host, config.port)
    with listening:
        tabs = tabs_of((path, load_model_of(path, list(KINDS))) for path in config.model)
        blocks = make_blocks(tabs)
        count = f"{len(tabs)} model{'s' if len(tabs) > 1 else ''}"
        print(f"{address_of(listening)} shows {count}. Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            serve(blocks, listening)
        print("Stopped.")


if __name__ == "__main__":
    program.run(main, Config)
