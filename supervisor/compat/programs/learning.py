"""scikit-learn: a forest trained by processes and threads of joblib, a support vector machine, k-means."""

from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main():
    flowers, kinds = load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=20, random_state=0, n_jobs=2).fit(flowers, kinds)
    machine = make_pipeline(StandardScaler(), SVC())
    scores = cross_val_score(machine, flowers, kinds, cv=3, n_jobs=2)
    points, _ = make_blobs(n_samples=300, centers=3, random_state=1)
    return {"forest": bool(forest.score(flowers, kinds) > 0.95), "machine": bool(scores.mean() > 0.9),
            "clusters": KMeans(3, n_init=3, random_state=0).fit(points).cluster_centers_.shape}
