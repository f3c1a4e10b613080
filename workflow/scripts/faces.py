"""Find the face in every frame of one recording."""

from pfes.base.logs import stage
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.media.decode import SamplingParameters

with stage(snakemake.log[0]):
    p = snakemake.params
    write_faces(p.recording, p.fps, snakemake.output[0], SamplingParameters(**p.sampling), FaceParameters(**p.faces))
