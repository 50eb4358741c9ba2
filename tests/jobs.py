"""Jobs over small files, done with a toy."""

from photos import photo
from toys import codec

from titokzip.batch import Job, Options, compress_files, decompress_files
from titokzip.rate_control import Rate

TOY = codec()
SMALL = Rate(tile=16)


def image_jobs(folder, count):
    for i in range(count):
        photo(30 + i, 20, i).save(folder / f"{i}.png")
    return [Job(folder / f"{i}.png", folder / f"{i}.ttk") for i in range(count)]


def compressed(jobs, options=Options(), rate=SMALL, one=TOY, **how):  # noqa: B008
    return list(compress_files(jobs, one, rate, options, **how))


def decompressed(jobs, options=Options(), **how):  # noqa: B008
    return list(decompress_files(jobs, lambda _: TOY, options, **how))


def names(folder):
    return sorted(path.name for path in folder.iterdir())
