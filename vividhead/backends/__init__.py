"""Networks of others that scores and evaluation share, and how their published files are read. No weights shipped.

weights_file.py   a file's tensors into a network, strictly
syncnet.py        lips and sound as points: LSE-C, LSE-D, offset
light_asd.py      is this face speaking, frame by frame
insightface.py    whose face, and what age and gender a network would guess
onnx_file.py      networks as ONNX files in memory, for ONNX Runtime
mfcc.py           the sound as SyncNet and Light-ASD hear it
"""
