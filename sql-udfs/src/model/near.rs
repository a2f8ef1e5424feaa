//! Points near a point, exactly: a k-d tree with the box of each node.
//!
//! Distances are squared and summed coordinate by coordinate, for boxes as for points; rounding keeps the order of numbers,
//! so that no point is lost to it. Ties go to the lowest number. It knows nothing of clusters.

/// Points of a leaf.
const LEAF_POINTS: usize = 16;

/// Points in an order in which neighbours stand together.
#[derive(Debug, Clone)]
pub(crate) struct Near {
    width: usize,
    /// Coordinates, point by point.
    points: Vec<f64>,
    /// The number of each point as it was given.
    numbers: Vec<u32>,
    nodes: Vec<Node>,
    /// For each node the least and then the greatest coordinates.
    boxes: Vec<f64>,
}

#[derive(Debug, Clone)]
struct Node {
    from: usize,
    to: usize,
    /// The lowest number of its points.
    first: u32,
    children: Option<[usize; 2]>,
}

/// Which points of a [`Near`] have not been taken yet.
#[derive(Debug)]
pub(crate) struct Left {
    /// By node.
    counts: Vec<usize>,
    /// By place.
    present: Vec<bool>,
}

impl Near {
    /// Puts points into a tree.
    pub fn new(points: &[f64], width: usize) -> Self {
        let count = points.len() / width;
        let mut order: Vec<u32> = (0..count as u32).collect();
        let mut near =
            Near { width, points: Vec::with_capacity(points.len()), numbers: vec![], nodes: vec![], boxes: vec![] };
        near.grow(points, &mut order, 0);
        for number in &order {
            near.points.extend_from_slice(&points[*number as usize * width..(*number as usize + 1) * width]);
        }
        near.numbers = order;
        near
    }

    /// Bytes that a tree of so many points takes, about.
    pub fn bytes(count: usize, width: usize) -> usize {
        count * (width * 2 * size_of::<f64>() + 16)
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    fn grow(&mut self, points: &[f64], order: &mut [u32], from: usize) -> usize {
        let node = self.nodes.len();
        let first = order.iter().copied().min().unwrap_or_default();
        self.nodes.push(Node { from, to: from + order.len(), first, children: None });
        let at = |number: u32, axis: usize| points[number as usize * self.width + axis];
        let (mut widest, mut extent) = (0, -1.0);
        let mut corners = vec![0.0; 2 * self.width];
        for axis in 0..self.width {
            let values = order.iter().map(|number| at(*number, axis));
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            (corners[axis], corners[self.width + axis]) = (low, high);
            if high - low > extent {
                (widest, extent) = (axis, high - low);
            }
        }
        if order.len() > LEAF_POINTS {
            let middle = order.len() / 2;
            // Equal points are parted too, by their numbers, so that no leaf is large.
            order.select_nth_unstable_by(middle, |a, b| at(*a, widest).total_cmp(&at(*b, widest)).then(a.cmp(b)));
            self.boxes.extend(corners);
            let (left, right) = order.split_at_mut(middle);
            let children = [self.grow(points, left, from), self.grow(points, right, from + middle)];
            self.nodes[node].children = Some(children);
        } else {
            order.sort_unstable();
            self.boxes.extend(corners);
        }
        node
    }

    fn point(&self, place: usize) -> &[f64] {
        &self.points[place * self.width..(place + 1) * self.width]
    }

    fn squared(&self, place: usize, point: &[f64]) -> f64 {
        let mut sum = 0.0;
        self.point(place).iter().zip(point).for_each(|(own, other)| sum += (own - other) * (own - other));
        sum
    }

    /// The least and the greatest squared distance of a point from a node's box.
    fn bounds(&self, node: usize, point: &[f64]) -> (f64, f64) {
        let corners = &self.boxes[node * 2 * self.width..(node + 1) * 2 * self.width];
        let (lows, highs) = corners.split_at(self.width);
        let (mut least, mut greatest) = (0.0, 0.0);
        for ((value, low), high) in point.iter().zip(lows).zip(highs) {
            let (below, above) = ((low - value) * (low - value), (high - value) * (high - value));
            greatest += below.max(above);
            if value < low {
                least += below;
            } else if value > high {
                least += above;
            }
        }
        (least, greatest)
    }

    /// Whether the points within a squared distance weigh so much together, one each without weights.
    pub fn has_within(&self, point: &[f64], radius2: f64, weights: Option<&[f64]>, enough: f64) -> bool {
        let mut sum = 0.0;
        let mut nodes = vec![0];
        while let Some(number) = nodes.pop() {
            let node = &self.nodes[number];
            let (least, greatest) = self.bounds(number, point);
            if least > radius2 {
                continue;
            }
            match (weights, node.children) {
                (None, _) if greatest <= radius2 => sum += (node.to - node.from) as f64,
                (_, Some(children)) => nodes.extend(children),
                (_, None) => {
                    for place in (node.from..node.to).filter(|place| self.squared(*place, point) <= radius2) {
                        sum += weights.map_or(1.0, |weights| weights[self.numbers[place] as usize]);
                    }
                }
            }
            if sum >= enough {
                return true;
            }
        }
        sum >= enough
    }

    /// The nearest point within a squared distance, the first of equally near ones.
    pub fn nearest(&self, point: &[f64], radius2: f64) -> Option<u32> {
        let mut best: Option<(f64, u32)> = None;
        let key = |node: usize| (self.bounds(node, point).0, self.nodes[node].first);
        let before = |a: (f64, u32), b: (f64, u32)| a.0 < b.0 || (a.0 == b.0 && a.1 < b.1);
        let mut nodes = vec![(key(0), 0)];
        while let Some((least, number)) = nodes.pop() {
            if least.0 > radius2 || best.is_some_and(|best| !before(least, best)) {
                continue;
            }
            let node = &self.nodes[number];
            if let Some(children) = node.children {
                let [left, right] = children.map(|child| (key(child), child));
                // The nearer one is looked at first, so it is pushed last.
                nodes.extend(if before(left.0, right.0) { [right, left] } else { [left, right] });
                continue;
            }
            for place in node.from..node.to {
                let found = (self.squared(place, point), self.numbers[place]);
                if found.0 <= radius2 && best.is_none_or(|best| before(found, best)) {
                    best = Some(found);
                }
            }
        }
        best.map(|(_, number)| number)
    }

    /// All points, to be taken.
    pub fn all(&self) -> Left {
        let counts = self.nodes.iter().map(|node| node.to - node.from).collect();
        Left { counts, present: vec![true; self.len()] }
    }

    /// Takes the points within a squared distance that are left, and adds their numbers to `taken`.
    pub fn take_within(&self, point: &[f64], radius2: f64, left: &mut Left, taken: &mut Vec<u32>) {
        self.take(0, point, radius2, left, taken);
    }

    fn take(&self, number: usize, point: &[f64], radius2: f64, left: &mut Left, taken: &mut Vec<u32>) -> usize {
        if left.counts[number] == 0 || self.bounds(number, point).0 > radius2 {
            return 0;
        }
        let node = &self.nodes[number];
        let mut count = 0;
        match node.children {
            Some(children) => {
                for child in children {
                    count += self.take(child, point, radius2, left, taken);
                }
            }
            None => {
                for place in node.from..node.to {
                    if left.present[place] && self.squared(place, point) <= radius2 {
                        left.present[place] = false;
                        taken.push(self.numbers[place]);
                        count += 1;
                    }
                }
            }
        }
        left.counts[number] -= count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid with gaps and doubled points.
    fn points() -> Vec<[f64; 3]> {
        let coordinate = |i: u32, step: u32| f64::from(i * step % 7);
        (0..200).map(|i| [coordinate(i, 3), coordinate(i * i, 5), coordinate(i / 9, 1)]).collect()
    }

    fn squared(a: &[f64; 3], b: &[f64; 3]) -> f64 {
        (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum()
    }

    #[test]
    fn what_is_near_is_what_all_distances_say() {
        let points = points();
        let near = Near::new(points.as_flattened(), 3);
        assert_eq!(near.len(), 200);
        for query in points.iter().take(60).chain([[2.5, 3.0, -1.0], [100.0, 0.0, 0.0]].iter()) {
            for radius2 in [0.0, 1.0, 2.5, 9.0, 1e9] {
                let within: Vec<u32> = (0..200).filter(|i| squared(&points[*i as usize], query) <= radius2).collect();
                let count = within.len() as f64;
                assert!(near.has_within(query, radius2, None, count));
                assert!(!near.has_within(query, radius2, None, count + 1.0));
                let halves = vec![0.5; 200];
                assert!(near.has_within(query, radius2, Some(&halves), count / 2.0));
                assert!(!near.has_within(query, radius2, Some(&halves), count / 2.0 + 0.1));
                let nearest = within.iter().copied().min_by(|a, b| {
                    let distance = |i: &u32| squared(&points[*i as usize], query);
                    distance(a).total_cmp(&distance(b)).then(a.cmp(b))
                });
                assert_eq!(near.nearest(query, radius2), nearest, "{query:?} {radius2}");
                let (mut left, mut taken) = (near.all(), Vec::new());
                near.take_within(query, radius2, &mut left, &mut taken);
                taken.sort_unstable();
                assert_eq!(taken, within);
                taken.clear();
                near.take_within(query, 1e9, &mut left, &mut taken);
                assert_eq!(taken.len(), 200 - within.len());
            }
        }
    }
}
