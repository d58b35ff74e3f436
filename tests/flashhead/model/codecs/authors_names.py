"""Names of the tensors as the codecs' authors give them, from diffusers' names; the same tables the other way round."""

import re

LTX_ENCODER = (
    ("down_blocks.0.downsamplers.0", "down_blocks.1"),
    ("down_blocks.0.conv_out", "down_blocks.2"),
    ("down_blocks.1.downsamplers.0", "down_blocks.4"),
    ("down_blocks.1.conv_out", "down_blocks.5"),
    ("down_blocks.2.downsamplers.0", "down_blocks.7"),
    ("down_blocks.0", "down_blocks.0"),
    ("down_blocks.1", "down_blocks.3"),
    ("down_blocks.2", "down_blocks.6"),
    ("down_blocks.3", "down_blocks.8"),
    ("mid_block", "down_blocks.9"),
)
LTX_DECODER = (
    ("up_blocks.1.upsamplers.0", "up_blocks.2"),
    ("up_blocks.2.conv_in", "up_blocks.4"),
    ("up_blocks.2.upsamplers.0", "up_blocks.5"),
    ("up_blocks.3.conv_in", "up_blocks.7"),
    ("up_blocks.3.upsamplers.0", "up_blocks.8"),
    ("mid_block", "up_blocks.0"),
    ("up_blocks.0", "up_blocks.1"),
    ("up_blocks.1", "up_blocks.3"),
    ("up_blocks.2", "up_blocks.6"),
    ("up_blocks.3", "up_blocks.9"),
)
LTX_PARTS = (
    ("conv_shortcut.conv.", "conv_shortcut."),
    ("norm3.", "norm3.norm."),
    ("resnets.", "res_blocks."),
)
LTX_STATISTICS = {
    "latents_mean": "per_channel_statistics.mean-of-means",
    "latents_std": "per_channel_statistics.std-of-means",
}

WAN_RESIDUAL = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6"}
WAN_ENDS = {
    "encoder.conv_in.": "encoder.conv1.",
    "decoder.conv_in.": "decoder.conv1.",
    ".norm_out.": ".head.0.",
    ".conv_out.": ".head.2.",
    "quant_conv.": "conv1.",
    "post_conv1.": "conv2.",  # post_quant_conv, after the line before
    ".mid_block.resnets.0.": ".middle.0.",
    ".mid_block.attentions.0.": ".middle.1.",
    ".mid_block.resnets.1.": ".middle.2.",
    "encoder.down_blocks.": "encoder.downsamples.",
    "conv_shortcut": "shortcut",
}


def ltx(name: str) -> str:
    """As in LTX-Video's own file, codec and transformer in one."""
    if name in LTX_STATISTICS:
        return f"vae.{LTX_STATISTICS[name]}"
    side, _, rest = name.partition(".")
    for ours, theirs in LTX_ENCODER if side == "encoder" else LTX_DECODER:
        if rest.startswith(f"{ours}."):
            rest = theirs + rest.removeprefix(ours)
            break
    for ours, theirs in LTX_PARTS:
        rest = rest.replace(ours, theirs)
    return f"vae.{side}.{rest}"


def wan(name: str) -> str:
    """As in Wan2.1_VAE.pth: the decoder's blocks in one row, three residuals and what makes them larger."""
    name = re.sub(
        r"up_blocks\.(\d)\.(?:resnets\.(\d)|upsamplers\.(0))",
        lambda m: f"upsamples.{4 * int(m[1]) + (3 if m[2] is None else int(m[2]))}",
        name,
    )
    for ours, theirs in WAN_ENDS.items():
        name = name.replace(ours, theirs)
    if "samples." in name or "middle." in name:
        name = re.sub(r"\b(norm1|conv1|norm2|conv2)\b", lambda m: WAN_RESIDUAL[m[1]], name)
    return name
