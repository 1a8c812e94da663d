# make docker builds sat_exp:cpu; make docker TORCH=cuda builds sat_exp:cuda. Every package is locked with its hash.
FROM python:3.11-slim

# cpu or cuda. cpu takes PyTorch's CPU build if pip finds it, for instance in PIP_EXTRA_INDEX_URL.
ARG TORCH=cpu
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /app/source
COPY requirements requirements
RUN pip install --quiet --require-hashes --no-deps --requirement requirements/build.txt
RUN case "$TORCH" in cpu|cuda) ;; *) echo "error: TORCH=$TORCH: give cpu or cuda"; exit 1;; esac
RUN test "$TORCH" = cpu && pip install --quiet --require-hashes --no-deps --requirement requirements/torch-cpu.txt \
    || { echo "installing the build of torch for CUDA"; pip install --quiet --require-hashes --no-deps --requirement requirements/torch.txt; }
RUN pip install --quiet --require-hashes --no-deps --no-build-isolation --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY sat_exp sat_exp
RUN pip install --quiet --no-deps --no-build-isolation .

RUN useradd --create-home --uid 1000 person && mkdir -p /app/outputs && chown person /app /app/outputs
USER person
WORKDIR /app
ENTRYPOINT ["sat-exp"]
