"""``convsmith fit``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import (
    Bytes,
    Count,
    Images,
    Json,
    Minutes,
    RecipeFile,
    Seconds,
    UsageError,
    make_command,
    print_json,
    print_text,
)
from convsmith.cli.clock import began
from convsmith.cli.display import make_display
from convsmith.files import write_text
from convsmith.jobs.fit import fit
from convsmith.jobs.fit_budget import account
from convsmith.quantities import format_seconds
from convsmith.search.space_file import default_text


def _write_space(path: Path | None) -> Path | None:
    if path is not None:
        if path.exists():
            raise UsageError("there is a file already", where=str(path), remedy="choose another name")
        write_text(path, default_text())
        print_text(f"Wrote {path}: change it and give it to `convsmith fit --space`.")
        raise typer.Exit
    return path


def _command(
    images: Annotated[str, Images()],
    macs: Annotated[int | None, Count(help="Most multiply-adds for one image, such as 10M.")] = None,
    params: Annotated[int | None, Count(help="Most learned parameters, such as 1M.")] = None,
    latency: Annotated[
        float | None, Seconds(help="Most time for one image, exported, in onnxruntime on this machine, such as 3ms.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads that --latency is meant for.")] = 1,
    memory: Annotated[
        int | None, Bytes(help="Most memory for one image: weights and the values alive at once, such as 2MiB.")
    ] = None,
    file_size: Annotated[int | None, Bytes(help="Most bytes of the exported file, such as 500kB.")] = None,
    minutes: Annotated[float, Minutes(help="Time for everything, report included.")] = 30.0,
    space: Annotated[Path | None, typer.Option(help="A file that says which networks are drawn.")] = None,
    write_space: Annotated[
        Path | None,
        typer.Option(
            callback=_write_space,
            is_eager=True,
            help="Write the file that --space reads, every key explained, and end.",
        ),
    ] = None,
    recipe: Annotated[Path | None, RecipeFile()] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="A finished run, a .safetensors or an .onnx file: its network, fine-tuned, as one more candidate."
        ),
    ] = None,
    start_design: Annotated[
        str | None, typer.Option(help="What the file belongs to: file.toml, zoo:NAME or a run folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("run"),
    seed: Annotated[int, typer.Option(min=0, help="Decides the split, the drawn networks and every training.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out; repeats no training.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train even what an earlier run has trained.")] = False,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="postgresql://...",
            help="Share the work with other fits that name the same study, each with its own --out: "
            "postgresql://USER@HOST/DATABASE#NAME. The password is taken from PGPASSWORD or ~/.pgpass.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Trainings at the same time on this machine; as many as its processors allow by default."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option(metavar="ray", help="Train on the machines of a Ray cluster in place of this one.")
    ] = None,
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Of that cluster; auto is the one that this machine is part of.")
    ] = "auto",
    json: Annotated[bool, Json()] = False,
) -> None:
    """Find, train, prove and export the network that fits a compute budget."""
    with make_display() as display:
        found = fit(
            images,
            macs=macs,
            params=params,
            latency=latency,
            threads=threads,
            memory=memory,
            file_size=file_size,
            minutes=minutes,
            space=space,
            recipe=recipe,
            start_from=start_from,
            start_design=start_design,
            out=out,
            seed=seed,
            resume=resume,
            fresh=fresh,
            study=study,
            processes=processes,
            executor=executor,
            address=address,
            started=began(),
            tell=display.tell,
            show=display.show,
        )
    if json:
        print_json(found.to_dict())
        return
    print_text(found.report["sentence"])
    print_text(f"It costs: {', '.join(map(str, account(found.report)))}.")
    print_text(f"Took {format_seconds(found.report['seconds']['total'])}. The report: {found.folder / 'report.html'}")
    print_text(f"To train it for longer: {_longer(found.folder, images, recipe, seed)}")


def _longer(folder: Path, images: str, recipe: Path | None, seed: int) -> str:
    """The command that trains what was found on the same images, with the same ones locked away for the test."""
    options = [*(["--recipe", str(recipe)] if recipe else []), *(["--seed", str(seed)] if seed else [])]
    out = folder.with_name(f"{folder.name}-longer")
    words = ["convsmith", "train", folder / "design.toml", images, *options, "--minutes", "60", "--out", out]
    return shlex.join(map(str, words))


command = make_command(_command, "fit")
