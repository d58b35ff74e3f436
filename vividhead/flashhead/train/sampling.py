"""A video of what the model can by now: a held-out portrait speaks held-out sound."""

import hashlib
from pathlib import Path

import torch

from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.talk import provenance_of, spoken
from vividhead.flashhead.generate.talk_file import TalkFile
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.signing import own_signer_if_any
from vividhead.ledger import storage_error
from vividhead.loader import ShardDataset

SEED = 0


def sample_video(
    dit: Dit, codec: VideoCodec, audio: AudioEncoder, held_out: ShardDataset, path: Path, device: torch.device
) -> None:
    """Generate from the first held-out window's reference and its eight seconds of sound, and write an mp4.

    The model is used up: bring a copy.
    """
    sample = held_out.sample_at(0, held_out.reader())
    digest = digest_of(dit)
    model = FlashHead(
        config=dit.config, dit=dit.for_generation().to(device), codec=codec, audio=audio, checkpoint_sha256=digest
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(fault, path) from fault
    stream = Engine(model, graphs=False).open(sample.reference_HWC.numpy(), SEED, as_it_is=True)
    with TalkFile(path, dit.config.stream.side_px, provenance_of(model, SEED), own_signer_if_any()) as film:
        for chunk in spoken(stream, [sample.audio_KS[0].numpy()]):
            film.add(chunk.frames_THWC, chunk.pcm_S)


def digest_of(dit: Dit) -> str:
    """Sha256 of the values, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(dit.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
