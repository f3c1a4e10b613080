"""Find the face in every frame of one recording."""

from pfes.decode import SamplingParameters
from pfes.landmarks import FaceParameters, write_faces
from pfes.logs import stage

with stage(snakemake.log[0]):
    p = snakemake.params
    write_faces(p.recording, p.fps, snakemake.output[0], SamplingParameters(**p.sampling), FaceParameters(**p.faces))
