"""Networks of others that scores and evaluation share, and how their published files are read. No weights shipped.

weights_file.py   a file's tensors into a network, strictly
syncnet.py        lips and sound as points: LSE-C, LSE-D, offset
light_asd.py      is this face speaking, frame by frame
mfcc.py           the sound as SyncNet and Light-ASD hear it
"""
