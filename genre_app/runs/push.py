"""Upload the checkpoint of a run to the Hugging Face hub, with its settings and its model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genre_app.checkpoint import Checkpoint, load_checkpoint
from genre_app.errors import RunError
from genre_app.hub import FILE, PREFIX, in_a_sentence, repository_of
from genre_app.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_USE = """
## Use

```
genre-app classify song.mp3 --checkpoint {name}
```
"""


def push(run: Run, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload the best checkpoint of a run, and create the repository if there is none.

    Parameters
    ----------
    run : Run
        Finished or stopped.
    repository : str
        ``OWNER/NAME``.
    private : bool
        Whether a new repository is private.
    token : str, optional
        Of the hub; by default the one that ``hf auth login`` has stored.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    RunError
        If the run has no checkpoint, is active, or the upload fails.
    CheckpointError
        If the checkpoint is damaged, or the repository has no valid name.
    """
    from huggingface_hub import HfApi

    repository, _ = repository_of(repository)
    if run.status().is_active or not run.best.is_file():
        raise RunError(f"The run {run.name} has no finished checkpoint; wait for it, or choose another run.")
    checkpoint = load_checkpoint(run.best)
    shown = PREFIX + repository
    with TemporaryDirectory() as name, in_a_sentence(shown, "model", RunError):
        folder = Path(name)
        shutil.copyfile(run.best, folder / FILE)
        (folder / "config.json").write_text(json.dumps(_settings(checkpoint), indent=1), encoding="utf-8")
        (folder / "README.md").write_text(_card(run, checkpoint, repository), encoding="utf-8")
        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=f"Upload the genre classifier {run.name}"
        )
    return str(done.commit_url)


def _settings(checkpoint: Checkpoint) -> dict[str, object]:
    """Return what the file of weights says of itself, for readers."""
    return {
        "genres": checkpoint.genres,
        "members": [
            {
                "model": member.model.name,
                "settings": member.model.settings.model_dump(mode="json"),
                "spec": member.spec.model_dump(mode="json"),
                "weight": member.weight,
            }
            for member in checkpoint.members
        ],
    }


def _card(run: Run, checkpoint: Checkpoint, repository: str) -> str:
    """Return the run's model card with the metadata of the hub and the command that uses the model."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        pipeline_tag="audio-classification",
        library_name="genre-app",
        tags=["music", "music-genre-classification"],
        model_name=run.name,
        eval_results=_measured(checkpoint),
    )
    card = run.path / "card.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {run.name}\n"
    return f"---\n{data.to_yaml()}\n---\n\n{text}{_USE.format(name=PREFIX + repository)}"


def _measured(checkpoint: Checkpoint) -> list[EvalResult] | None:
    from huggingface_hub import EvalResult

    report = checkpoint.metrics.get("valid") or checkpoint.metrics.get("folds")
    if not report:
        return None
    named: dict[str, Any] = {
        "dataset_type": "audiofolder",
        "dataset_name": f"{report['n_tracks']} tracks",
        "dataset_split": "validation",
    }
    accuracy = {"metric_type": "accuracy", "metric_value": report["accuracy"]}
    return [EvalResult(task_type="audio-classification", **named, **accuracy)]
