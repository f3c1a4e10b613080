"""Find the face in every frame of one recording."""

from pfes.base.logs import stage
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.media.decode import SamplingParameters

with stage(snakemake.log[0]):
    p = snakemake.params
    sampling, faces = SamplingParameters(**p.settings["sampling"]), FaceParameters(**p.settings["faces"])
    write_faces(p.recording, p.fps, snakemake.output[0], sampling, faces, ranked=p.ranked)
