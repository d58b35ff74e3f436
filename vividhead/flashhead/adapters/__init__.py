"""A served talking head within other people's agents: LiveKit and Pipecat.

Both frameworks want a protobuf that MediaPipe forbids, so they live in an environment of their own, which needs of this
package only `vividhead.flashhead.client` (docs/serving.md says how).
"""
