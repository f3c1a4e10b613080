"""Backend ``mediapipe``: MediaPipe's face mesh, whose models are inside the wheel (Apache-2.0).

The mesh has 468 points; MESH_68 picks those that stand for the 68 of the other backend. Its short-range detector finds no
face whose eyes are closer together than about 1/28 of the picture's longer side; it gives out no confidence.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from pfes.faces.geometry import Face, Frame

LEAST_SURE = 0.3  # of what `confidences` counts as a face
MESH_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)  # fmt: skip


@contextmanager
def detector(max_faces: int, min_confidence: float) -> Iterator[Callable[[Frame], list[Face]]]:
    """Yield the function frame [H, W, 3] BGR -> faces; it follows faces, so give it the frames of one video in order."""
    from mediapipe.python.solutions.face_mesh import FaceMesh  # a second to import; only this stage needs it

    with FaceMesh(
        max_num_faces=max_faces, min_detection_confidence=min_confidence, min_tracking_confidence=min_confidence
    ) as mesh:

        def detect(frame: Frame) -> list[Face]:
            scale = np.array([frame.shape[1], frame.shape[0]], np.float32)
            found = mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks or []
            return [
                Face(np.array([(face.landmark[i].x, face.landmark[i].y) for i in MESH_68], np.float32) * scale)
                for face in found
            ]

        yield detect


def confidences(pictures: Iterable[Frame]) -> list[float]:
    """Return how sure MediaPipe's face detector is of the best face of each picture, 0 to 1; 0 where it finds none."""
    from mediapipe.python.solutions.face_detection import FaceDetection

    with FaceDetection(model_selection=0, min_detection_confidence=LEAST_SURE) as detection:
        found = [detection.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).detections or [] for picture in pictures]
    return [max((float(face.score[0]) for face in faces), default=0.0) for faces in found]
